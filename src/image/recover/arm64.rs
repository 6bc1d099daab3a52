//! References in AArch64 code: ADRP completed by ADD or by the offset of a load or store, and direct calls with their
//! first argument in R0 (Go's internal calling convention, since 1.18).

use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Instruction, Opcode, Operand, SizeCode};

use super::events::{Event, Registers};

const R0: usize = 0;
const ZERO: u16 = 31;

/// Shows the facts in `code`, which begins at address `entry`, to `sink`.
pub(super) fn decode(code: &[u8], entry: u64, mut sink: impl FnMut(Event)) {
    let decoder = InstDecoder::default();
    // Pages are halves of addresses: only with the other half do they name something.
    let mut pages = Registers::<32>::new();
    let mut known = Registers::<32>::new();
    let mut instruction = Instruction::default();
    let mut pc = entry;
    for word in code.chunks_exact(4) {
        let here = pc;
        pc = pc.wrapping_add(4);
        if decoder.decode_into(&mut instruction, &mut U8Reader::new(word)).is_err() {
            continue;
        }
        let i = &instruction;
        match (i.opcode, i.operands) {
            (Opcode::BL, [Operand::PCOffset(offset), ..]) => {
                sink(Event::Call {
                    callee: here.wrapping_add_signed(offset),
                    receiver: known.get(R0),
                });
                pages.clear();
                known.clear();
            }
            // What follows is reached from elsewhere, or after a call.
            (Opcode::B | Opcode::BR | Opcode::BLR | Opcode::RET, _) => {
                pages.clear();
                known.clear();
            }
            (Opcode::ADRP, [Operand::Register(_, target), Operand::PCOffset(offset), ..]) => {
                let page = (here & !0xfff).wrapping_add_signed(offset);
                pages.set(target.into(), Some(page));
                known.set(target.into(), None);
            }
            (Opcode::ADR, [Operand::Register(_, target), Operand::PCOffset(offset), ..]) => {
                let addr = here.wrapping_add_signed(offset);
                sink(Event::Data(addr));
                pages.set(target.into(), None);
                known.set(target.into(), Some(addr));
            }
            (
                Opcode::ADD,
                [
                    Operand::RegisterOrSP(SizeCode::X, target),
                    Operand::RegisterOrSP(_, source),
                    value,
                    _,
                ],
            ) => {
                let value = immediate(value);
                let named = pages
                    .get(source.into())
                    .zip(value)
                    .map(|(page, low)| page.wrapping_add(low));
                if let Some(addr) = named {
                    sink(Event::Data(addr));
                }
                let moved = known
                    .get(source.into())
                    .zip(value)
                    .map(|(base, more)| base.wrapping_add(more));
                pages.set(target.into(), None);
                known.set(target.into(), named.or(moved));
            }
            (Opcode::ORR, [Operand::Register(SizeCode::X, target), rest @ ..]) => {
                let source = match rest {
                    [Operand::Register(_, ZERO), Operand::Register(_, source), _]
                    | [Operand::Register(_, ZERO), Operand::RegShift(_, 0, _, source), _] => Some(source),
                    _ => None,
                };
                let value = source.and_then(|source| known.get(source.into()));
                pages.set(target.into(), None);
                known.set(target.into(), value);
            }
            (opcode, operands) => {
                for operand in operands {
                    if let Operand::RegPreIndex(base, offset, _) = operand {
                        if let Some(page) = pages.get(base.into()) {
                            sink(Event::Data(page.wrapping_add_signed(offset.into())));
                        } else if let Some(addr) = known.get(base.into()) {
                            sink(Event::Near(addr.wrapping_add_signed(offset.into())));
                        }
                    }
                }
                if !reads_only(opcode) {
                    for operand in operands.iter().take(2) {
                        if let Operand::Register(_, target) | Operand::RegisterOrSP(_, target) = operand {
                            pages.set((*target).into(), None);
                            known.set((*target).into(), None);
                        }
                    }
                }
            }
        }
    }
}

fn immediate(operand: Operand) -> Option<u64> {
    match operand {
        Operand::Immediate(value) => Some(value.into()),
        Operand::ImmShift(value, shift) => u64::from(value).checked_shl(shift.into()),
        _ => None,
    }
}

/// Whether the first operands are sources. Others may name a source second, which is then forgotten for nothing.
fn reads_only(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::STR
            | Opcode::STRB
            | Opcode::STRH
            | Opcode::STP
            | Opcode::STUR
            | Opcode::STURB
            | Opcode::STURH
            | Opcode::STLR
            | Opcode::STLRB
            | Opcode::STLRH
            | Opcode::CBZ
            | Opcode::CBNZ
            | Opcode::TBZ
            | Opcode::TBNZ
            | Opcode::CCMP
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(words: &[u32]) -> Vec<Event> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut events = Vec::new();
        decode(&code, 0x1_0000, |event| events.push(event));
        events
    }

    #[test]
    fn a_page_and_an_offset_name_an_address() {
        let words = [
            0xb000_001b, // adrp x27, 0x11000
            0xf940_0b60, // ldr x0, [x27, #16]
            0xb000_001b, // adrp x27, 0x11000
            0xb900_0761, // str w1, [x27, #4]
            0xb000_0000, // adrp x0, 0x11000
            0x9100_8000, // add x0, x0, #32
            0x97ff_fffa, // bl 0x10000
            0x97ff_fff9, // bl 0x10000
        ];
        let call = |receiver| Event::Call {
            callee: 0x1_0000,
            receiver,
        };
        let data = [Event::Data(0x1_1010), Event::Data(0x1_1004), Event::Data(0x1_1020)];
        let [first, second, third] = data;
        assert_eq!(events(&words), [first, second, third, call(Some(0x1_1020)), call(None)]);
    }

    #[test]
    fn a_copy_is_followed_and_an_overwritten_page_is_not() {
        let words = [
            0xb000_0001, // adrp x1, 0x11000
            0x9100_8021, // add x1, x1, #32
            0xaa01_03e0, // mov x0, x1
            0x97ff_fffd, // bl 0x10000
            0xb000_0001, // adrp x1, 0x11000
            0xf940_0041, // ldr x1, [x2]
            0xf940_0420, // ldr x0, [x1, #8]
        ];
        let call = Event::Call {
            callee: 0x1_0000,
            receiver: Some(0x1_1020),
        };
        assert_eq!(events(&words), [Event::Data(0x1_1020), call]);
    }

    #[test]
    fn any_words_are_taken() {
        let mut state = 1u64;
        let mut noise = Vec::new();
        for _ in 0..1_000_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            noise.extend(((state >> 32) as u32).to_le_bytes());
        }
        decode(&noise, u64::MAX - 1_000_000, |_| {});
    }
}

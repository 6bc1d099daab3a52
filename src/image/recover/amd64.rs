//! References in x86-64 code: operands relative to RIP, and direct calls with their first argument in RAX
//! (Go's internal calling convention, since 1.17).

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::events::{Event, Registers};

const RAX: usize = 0;

/// Shows the facts in `code`, which begins at address `entry`, to `sink`.
pub(super) fn decode(code: &[u8], entry: u64, mut sink: impl FnMut(Event)) {
    let mut decoder = Decoder::with_ip(64, code, entry, DecoderOptions::NONE);
    let mut known = Registers::<16>::new();
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let i = &instruction;
        if i.is_ip_rel_memory_operand() {
            sink(Event::Data(i.ip_rel_memory_address()));
        } else if let Some(addr) = near(i, &known) {
            sink(Event::Near(addr));
        }
        match i.flow_control() {
            FlowControl::Call => {
                if i.op0_kind() == OpKind::NearBranch64 {
                    let receiver = known.get(RAX);
                    sink(Event::Call {
                        callee: i.near_branch64(),
                        receiver,
                    });
                }
                known.clear();
            }
            FlowControl::Next => follow(i, &mut known),
            FlowControl::ConditionalBranch => {}
            // What follows is reached from elsewhere.
            _ => known.clear(),
        }
    }
}

/// Keeps `known` true behind `i`.
fn follow(i: &Instruction, known: &mut Registers<16>) {
    let operand = |at: u32| match i.op_kind(at) {
        OpKind::Register => number(i.op_register(at)),
        _ => None,
    };
    match i.mnemonic() {
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push => return,
        Mnemonic::Xchg | Mnemonic::Xadd => {
            if let Some(second) = operand(1) {
                known.set(second, None);
            }
        }
        Mnemonic::Cmpxchg
        | Mnemonic::Mul
        | Mnemonic::Imul
        | Mnemonic::Div
        | Mnemonic::Idiv
        | Mnemonic::Cpuid
        | Mnemonic::Rdtsc
        | Mnemonic::Xgetbv
        | Mnemonic::Cdqe
        | Mnemonic::Lodsq => known.set(RAX, None),
        _ => {}
    }
    let Some(target) = (i.op_count() > 0).then(|| operand(0)).flatten() else {
        return;
    };
    let value = match i.code() {
        Code::Lea_r64_m if i.is_ip_rel_memory_operand() => Some(i.ip_rel_memory_address()),
        Code::Lea_r64_m => near(i, known),
        Code::Mov_r64_rm64 | Code::Mov_rm64_r64 => operand(1).and_then(|source| known.get(source)),
        Code::Add_rm64_imm8 | Code::Add_rm64_imm32 | Code::Add_RAX_imm32 => {
            known.get(target).map(|value| value.wrapping_add(i.immediate(1)))
        }
        _ => None,
    };
    known.set(target, value);
}

/// The address of `i`'s operand in memory, when it counts from a known one.
fn near(i: &Instruction, known: &Registers<16>) -> Option<u64> {
    let base = number(i.memory_base()).filter(|_| i.memory_index() == Register::None)?;
    Some(known.get(base)?.wrapping_add(i.memory_displacement64()))
}

/// 0 for RAX and its parts, and so on; `None` for what is no general-purpose register.
fn number(register: Register) -> Option<usize> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(code: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        decode(code, 0x1000, |event| events.push(event));
        events
    }

    #[test]
    fn the_receiver_is_what_was_loaded_last() {
        let mut code = vec![0x48, 0x8d, 0x1d, 0xf9, 0x0f, 0, 0]; // lea rbx, [rip+0xff9]
        code.extend([0x48, 0x89, 0xd8]); // mov rax, rbx
        code.extend([0x48, 0x83, 0xc0, 0x10]); // add rax, 0x10
        code.extend([0xe8, 0xed, 0xff, 0xff, 0xff]); // call 0x1000
        code.extend([0xe8, 0xe8, 0xff, 0xff, 0xff]); // call 0x1000
        let call = |receiver| Event::Call {
            callee: 0x1000,
            receiver,
        };
        assert_eq!(events(&code), [Event::Data(0x2000), call(Some(0x2010)), call(None)]);
    }

    #[test]
    fn a_register_written_otherwise_is_unknown() {
        let mut code = vec![0x48, 0x8d, 0x05, 0xf9, 0x0f, 0, 0]; // lea rax, [rip+0xff9]
        code.extend([0x31, 0xc0]); // xor eax, eax
        code.extend([0xe8, 0xf2, 0xff, 0xff, 0xff]); // call 0x1000
        let call = Event::Call {
            callee: 0x1000,
            receiver: None,
        };
        assert_eq!(events(&code), [Event::Data(0x2000), call]);
    }

    #[test]
    fn a_store_to_a_variable_names_it() {
        // mov dword ptr [rip+0x10], 1: the address counts from the end of the instruction, behind the constant.
        assert_eq!(events(&[0xc7, 0x05, 0x10, 0, 0, 0, 1, 0, 0, 0]), [Event::Data(0x101a)]);
    }

    #[test]
    fn any_bytes_are_taken() {
        let mut state = 1u32;
        let noise: Vec<u8> = (0..200_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        decode(&noise, u64::MAX - 100_000, |_| {});
    }
}

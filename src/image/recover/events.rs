//! What is taken from code, whatever the processor: the data it names and the functions it calls.

/// One fact, in the order of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An instruction names this address as data, reading, writing or taking it.
    Data(u64),
    /// An instruction uses memory at this address, which it computes from one that was named before.
    Near(u64),
    /// A direct call. `receiver` is the address in the register of the first argument, when the code put one there.
    Call {
        /// Address of the function called.
        callee: u64,
        /// Link-time address.
        receiver: Option<u64>,
    },
}

/// Addresses known to be in general-purpose registers, along straight code.
#[derive(Debug)]
pub(super) struct Registers<const N: usize>([Option<u64>; N]);

impl<const N: usize> Registers<N> {
    pub(super) fn new() -> Registers<N> {
        Registers([None; N])
    }

    pub(super) fn get(&self, number: usize) -> Option<u64> {
        self.0.get(number).copied().flatten()
    }

    pub(super) fn set(&mut self, number: usize, value: Option<u64>) {
        if let Some(register) = self.0.get_mut(number) {
            *register = value;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = [None; N];
    }
}

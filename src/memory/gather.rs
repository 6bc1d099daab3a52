//! The same few fields of very many structures: of each only a short record is kept, in the order of the array that
//! points to them. Copying whole structures would cost most of a scan's memory, and most of its time, for bytes that
//! nobody looks at.

use std::sync::Arc;

use super::{Addr, Memory, MemoryError, Missing, RecordShape};

/// A wish for some fields of every structure that an array of pointers leads to.
#[derive(Clone, Debug)]
pub struct Gather {
    /// The runtime structure, for messages.
    pub what: &'static str,
    /// Which of a capture's lists of records this is: below [`MOST_LISTS`], and another for each kind of structure.
    pub list: usize,
    /// The array of pointers; its bytes are among those captured.
    pub pointers: Addr,
    /// How many pointers.
    pub count: u64,
    /// Which fields, and where they go.
    pub shape: RecordShape,
}

/// Lists of records that one capture has room for.
pub const MOST_LISTS: usize = 4;

/// Bytes that stay where they are for as long as somebody looks at them.
pub trait Records: Send + Sync + std::fmt::Debug {
    /// All records, one behind the other.
    fn bytes(&self) -> &[u8];
}

impl Records for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// Records, in the order of the pointers.
#[derive(Clone, Debug)]
pub struct Gathered {
    records: Arc<dyn Records>,
    len: usize,
    status: usize,
    pass: u8,
}

impl Gathered {
    /// Records of this shape, of which those made by pass `pass` count.
    pub fn new(records: Arc<dyn Records>, shape: &RecordShape, pass: u8) -> Gathered {
        Gathered {
            records,
            len: shape.record_bytes().max(1),
            status: shape.status_at(),
            pass,
        }
    }

    /// The records of `gather`: those that were gathered, or from memory that holds the structures as a whole.
    pub fn of(memory: &dyn Memory, gather: &Gather) -> Result<Gathered, MemoryError> {
        if let Some(records) = memory.gathered(gather) {
            return Ok(records);
        }
        let bytes = match usize::try_from(gather.count.saturating_mul(8)).unwrap_or(usize::MAX) {
            0 => &[],
            bytes => memory.bytes(gather.pointers, bytes)?,
        };
        let (pointers, _) = bytes.as_chunks::<8>();
        let pointers = pointers.iter().map(|word| u64::from_le_bytes(*word));
        Ok(Gathered::from_structures(memory, gather, pointers))
    }

    /// The records of `gather`, from memory that holds the structures as a whole.
    pub fn from_structures(memory: &dyn Memory, gather: &Gather, pointers: impl Iterator<Item = u64>) -> Gathered {
        let len = gather.shape.record_bytes();
        let mut records = Vec::new();
        for pointer in pointers {
            let at = records.len();
            records.resize(at + len, 0);
            let record = records.get_mut(at..).unwrap_or_default();
            match memory.bytes(Addr(pointer), gather.shape.size()) {
                Ok(structure) => gather.shape.fill(structure, structure.len(), record, 1),
                Err(error) => gather.shape.miss(error.why, record),
            }
        }
        Gathered::new(Arc::new(records), &gather.shape, 1)
    }

    /// How many records there are, missing ones included.
    pub fn count(&self) -> usize {
        self.records.bytes().len() / self.len
    }

    /// All of them one behind the other, missing ones included.
    pub fn bytes(&self) -> &[u8] {
        self.records.bytes()
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.len
    }

    /// All of them in turn: each record's bytes, or why there is none.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<&[u8], Missing>> {
        self.records
            .bytes()
            .chunks_exact(self.len)
            .map(|record| self.whole(record))
    }

    /// Some of them in turn, as [`iter`](Gathered::iter).
    pub fn range(&self, records: std::ops::Range<usize>) -> impl ExactSizeIterator<Item = Result<&[u8], Missing>> {
        let bytes = records.start.saturating_mul(self.len)..records.end.saturating_mul(self.len);
        let part = self.records.bytes().get(bytes).unwrap_or_default();
        part.chunks_exact(self.len).map(|record| self.whole(record))
    }

    /// Record `index`.
    pub fn record(&self, index: usize) -> Result<&[u8], Missing> {
        let start = index.saturating_mul(self.len);
        let record = self.records.bytes().get(start..start.saturating_add(self.len));
        record.map_or(Err(Missing::NotCaptured), |record| self.whole(record))
    }

    fn whole<'r>(&self, record: &'r [u8]) -> Result<&'r [u8], Missing> {
        RecordShape::whole(self.status, record, self.pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> RecordShape {
        RecordShape::new(32, 32, 0, &[], &[]).unwrap()
    }

    #[test]
    fn a_record_counts_only_when_its_pass_does() {
        let mut records = vec![0u8; 4 * 32];
        shape().fill(&[7; 32], 32, &mut records[..32], 2);
        shape().fill(&[7; 32], 32, &mut records[32..64], 1);
        shape().miss(Missing::Swapped, &mut records[64..96]);
        let gathered = Gathered::new(Arc::new(records), &shape(), 2);
        let found: Vec<_> = gathered.iter().map(|record| record.err()).collect();
        assert_eq!(
            found,
            [
                None,
                Some(Missing::BudgetSpent),
                Some(Missing::Swapped),
                Some(Missing::BudgetSpent)
            ]
        );
        assert_eq!(gathered.record(0).map(<[u8]>::len), Ok(32));
        assert_eq!(gathered.record(4), Err(Missing::NotCaptured));
        assert_eq!(gathered.range(2..9).count(), 0);
    }
}

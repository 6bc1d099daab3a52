//! Quantities as people read them: bytes in binary units, times in the largest fitting unit.

//! ELF files made of a few sections, written by hand.

/// `SHF_COMPRESSED`.
pub const COMPRESSED: u64 = 1 << 11;

/// Bytes of the file's header and its only program header.
const HEADERS: u64 = 64 + 56;

/// A section: name, flags, content.
pub type Part<'a> = (&'a str, u64, &'a [u8]);

/// An executable for x86-64 with one segment, which is all of it.
pub fn elf(parts: &[Part<'_>]) -> Vec<u8> {
    let mut names = vec![0];
    let mut headers = vec![[0; 64]];
    let mut body: Vec<u8> = Vec::new();
    let mut add = |name: &str, kind: u32, flags: u64, content: &[u8]| {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&(names.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[8..16].copy_from_slice(&flags.to_le_bytes());
        header[24..32].copy_from_slice(&(HEADERS + body.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        headers.push(header);
        names.extend(name.as_bytes());
        names.push(0);
        body.extend(content);
        names.clone()
    };
    for (name, flags, content) in parts {
        add(name, 1, *flags, content);
    }
    // The table of names holds its own name, which is as long as the content it is written with.
    let mut strings = add(".shstrtab", 3, 0, b"");
    strings.resize(strings.len(), 0);
    let last = headers.len() - 1;
    headers[last][32..40].copy_from_slice(&(strings.len() as u64).to_le_bytes());
    body.extend(&strings);
    let mut file = vec![0; HEADERS as usize];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16..24].copy_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    file[40..48].copy_from_slice(&(HEADERS + body.len() as u64).to_le_bytes());
    file[52..54].copy_from_slice(&64u16.to_le_bytes());
    file[54..58].copy_from_slice(&[56, 0, 1, 0]);
    file[58..60].copy_from_slice(&64u16.to_le_bytes());
    file[60..62].copy_from_slice(&(headers.len() as u16).to_le_bytes());
    file[62..64].copy_from_slice(&(last as u16).to_le_bytes());
    // PT_LOAD, read, write, execute.
    let size = HEADERS + body.len() as u64 + headers.len() as u64 * 64;
    file[64..72].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
    for (at, value) in [(80, 0x40_0000), (88, 0x40_0000), (96, size), (104, size), (112, 4096)] {
        file[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    file.extend(body);
    file.extend(headers.concat());
    file
}

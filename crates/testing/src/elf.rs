//! Shared objects that hold nothing but what the dynamic linker reads first.

/// Writes over the beginning of `bytes`, and at `strings_at`, what makes them a shared object for x86-64.
pub fn write_over(bytes: &mut [u8], strings_at: usize, soname: &str, needed: &[&str]) {
    const DYNAMIC: usize = 64 + 2 * 56;
    const LOAD: u64 = 4 << 20;
    let size = bytes.len() as u64;
    bytes[..64].fill(0);
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut put = |at: usize, numbers: &[u64]| {
        for (n, number) in numbers.iter().enumerate() {
            bytes[at + 8 * n..at + 8 * n + 8].copy_from_slice(&number.to_le_bytes());
        }
    };
    // Type and machine; where the program headers are; their size and number.
    put(16, &[3 | 62 << 16]);
    put(32, &[64]);
    put(48, &[64 << 32 | 56 << 48, 2]);
    // All of the file at the address `LOAD`; the dynamic section.
    put(64, &[1, 0, LOAD, LOAD, size, size, 4096]);
    let rows = 3 + needed.len() as u64;
    put(64 + 56, &[2, DYNAMIC as u64, LOAD, LOAD, rows * 16, rows * 16, 8]);
    let mut strings = vec![0];
    let mut tags = Vec::new();
    for (tag, name) in [(14, soname)].into_iter().chain(needed.iter().map(|name| (1, *name))) {
        tags.extend([tag, strings.len() as u64]);
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    tags.extend([5, LOAD + strings_at as u64, 0, 0]);
    put(DYNAMIC, &tags);
    bytes[strings_at..strings_at + strings.len()].copy_from_slice(&strings);
}

/// A small shared object for x86-64 that is linked with `needed`.
pub fn object(soname: &str, needed: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    write_over(&mut bytes, 1024, soname, needed);
    bytes
}

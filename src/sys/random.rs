//! Random numbers from the kernel. A fork gets other numbers than its parent.

use std::process;
use std::time::Instant;

use nix::libc;

/// Returns random bytes (getrandom(2)).
///
/// If a seccomp filter refuses the call, the bytes are derived from an address, the process id and
/// the clock: unique, but not secret.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the kernel writes at most `N` bytes to `bytes`, which is as long.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    if usize::try_from(got) != Ok(N) {
        let seed = format!("{:?} {} {:p}", Instant::now(), process::id(), &raw const bytes);
        let mut hash = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a
        for (place, byte) in seed.bytes().cycle().take(seed.len() + N).enumerate() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            bytes[place % N] = hash.to_be_bytes()[0];
        }
    }
    bytes
}

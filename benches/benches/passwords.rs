//! Argon2id at the server's default cost: what one password log-in takes of a core. aws-lc-rs has no Argon2.

use std::hint::black_box;

use argon2::{Algorithm, Argon2, Params, Version};
use benches::criterion;

fn main() {
    let mut criterion = criterion();
    // 19 MiB, two passes, one lane: RFC 9106 as OWASP recommends it for servers.
    let params = Params::new(19 * 1024, 2, 1, None).expect("within Argon2's limits");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut group = criterion.benchmark_group("Argon2id 19 MiB t=2 p=1");
    group.sample_size(10);
    group.bench_function("RustCrypto", |b| {
        b.iter(|| {
            let mut out = [0; 32];
            argon2
                .hash_password_into(black_box(b"correct horse battery"), &[1; 16], &mut out)
                .map(|()| out)
        });
    });
    group.finish();
    criterion.final_summary();
}

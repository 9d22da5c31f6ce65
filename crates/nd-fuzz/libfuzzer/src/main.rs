//! libFuzzer's main program for one target of `nd-fuzz`: the one that `ND_FUZZ_TARGET` names.
//!
//! `cargo xtask fuzz` builds it with the coverage counters that libFuzzer needs, and runs it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nd_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("ND_FUZZ_TARGET").unwrap_or_default();
    nd_fuzz::target(&name).unwrap_or_else(|| panic!("ND_FUZZ_TARGET names no target: `{name}`"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));

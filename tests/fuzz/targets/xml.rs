//! Whatever a server answers to a report: reading it ends, with rows or with a reason.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let body = Bytes::copy_from_slice(raw);
    let _ = futures_executor::block_on(contactd::provider::carddav::count_rows(&body));
});

//! Whatever stands in a configuration file: it is taken, or every fault is named.
#![no_main]

use std::fs;

use contactd::config::{load, show};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let path = std::env::temp_dir().join(format!("contactd-fuzz-{}.toml", std::process::id()));
    fs::write(&path, raw).expect("the folder for temporary files can be written");
    match load(Some(&path), Vec::<(String, String)>::new()) {
        Ok(config) => assert!(!show(&config).is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

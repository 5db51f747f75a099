//! Has the program built anew when a file of the plugin for vLLM comes, changes or goes: it carries
//! them (`src/vllm_plugin.rs`).

fn main() {
    println!("cargo::rerun-if-changed=../engines/vllm/src");
}

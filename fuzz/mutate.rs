//! A small mutation fuzzer for tests: no nightly compiler, no instrumentation.
//!
//! Inputs come from `fuzz/corpus/NAME/`, are cut, joined, repeated and sprinkled with words of the
//! format, and go to a target that says by a number what became of them. An input with a new number
//! is kept as a seed, and written to the corpus with `FUZZ_KEEP=1`. `FUZZ_SECONDS` says for how
//! long (default: 1). An input that makes the target panic is written to `fuzz/crashes/`.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest input in bytes.
const MAX_INPUT: usize = 64 << 10;
/// Seeds at most.
const MAX_SEEDS: usize = 4096;
/// Files of one corpus at most.
const MAX_KEPT: usize = 64;

/// Runs a target; `words` are pieces of its format.
pub(crate) fn run(name: &str, words: &[&str], mut target: impl FnMut(&[u8]) -> u64) {
    let number =
        |variable| std::env::var(variable).ok().and_then(|text: String| text.parse::<u64>().ok());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("fuzz/mutate.rs").exists());
    let root = root.expect("tests run in the repository").join("fuzz");
    let folder = root.join("corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is there")
        .flatten()
        .map(|e| e.path())
        .collect();
    files.sort();
    let mut seeds: Vec<Vec<u8>> =
        files.iter().map(|file| std::fs::read(file).expect("a seed is readable")).collect();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    let seed = number("FUZZ_SEED")
        .unwrap_or_else(|| if number("FUZZ_SECONDS").is_some() { rand::rng().random() } else { 1 });
    let mut random = StdRng::seed_from_u64(seed);
    let mut seen = HashSet::new();
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(1));
    let (mut runs, mut queue) = (0_u64, seeds.clone());
    while Instant::now() < end {
        let input = queue.pop().unwrap_or_else(|| mutated(&seeds, words, &mut random));
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        runs += 1;
        let Ok(outcome) = outcome else {
            let crash = root.join("crashes").join(format!("{name}-{seed}-{runs}"));
            std::fs::create_dir_all(root.join("crashes")).expect("crashes can be kept");
            std::fs::write(&crash, &input).expect("a crash can be kept");
            panic!("{name}: an input of {} bytes made it panic: {}", input.len(), crash.display());
        };
        if seen.insert(outcome) && runs as usize > files.len() && seeds.len() < MAX_SEEDS {
            if number("FUZZ_KEEP") == Some(1) && seeds.len() < MAX_KEPT {
                std::fs::write(folder.join(format!("found-{outcome:016x}")), &input)
                    .expect("a seed can be kept");
            }
            seeds.push(input);
        }
    }
    println!("{name}: {runs} inputs, {} outcomes, {} seeds", seen.len(), seeds.len());
}

fn mutated(seeds: &[Vec<u8>], words: &[&str], random: &mut StdRng) -> Vec<u8> {
    let any = |random: &mut StdRng| seeds[random.random_range(0..seeds.len())].clone();
    let mut input = any(random);
    for _ in 0..random.random_range(1..8) {
        let at = |input: &[u8], random: &mut StdRng| random.random_range(0..=input.len());
        let (from, to) = {
            let (a, b) = (at(&input, random), at(&input, random));
            (a.min(b), a.max(b))
        };
        match random.random_range(0..8) {
            0 => drop(input.drain(from..to)),
            1 => input.truncate(from),
            2 => {
                let piece = input[from..to].to_vec();
                for _ in 0..random.random_range(1..20) {
                    if input.len() + piece.len() < MAX_INPUT {
                        input.splice(from..from, piece.iter().copied());
                    }
                }
            }
            3 => {
                let other = any(random);
                let cut = at(&other, random);
                input.truncate(from);
                input.extend_from_slice(&other[cut..]);
            }
            4 => input.iter_mut().skip(from).take(1).for_each(|byte| *byte = random.random()),
            5 => input
                .iter_mut()
                .skip(from)
                .take(1)
                .for_each(|byte| *byte ^= 1 << random.random_range(0..8)),
            _ if words.is_empty() => {}
            _ => {
                let word = words[random.random_range(0..words.len())];
                input.splice(from..if random.random() { from } else { to }, word.bytes());
            }
        }
    }
    input.truncate(MAX_INPUT);
    input
}

/// A number for a message, by its first words: what comes after them quotes the input.
#[allow(dead_code, reason = "not every crate's targets have messages")]
pub(crate) fn kind(message: &str) -> u64 {
    let words =
        message.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).take(5);
    outcome(&words.flat_map(str::bytes).map(u64::from).collect::<Vec<_>>())
}

/// One number of several.
pub(crate) fn outcome(parts: &[u64]) -> u64 {
    parts
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, part| (hash ^ part).wrapping_mul(0x0100_0000_01b3))
}

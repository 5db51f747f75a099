//! How to load a model.

use crate::decoder::Placement;
use crate::error::LoadError;
use std::path::PathBuf;

/// How to load a model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Longest context in tokens, prompt and response together. `None`, or a number beyond the
    /// model's own limit, stands for that limit.
    /// LongRoPE has other factors where it is longer than in training.
    pub context_length: Option<usize>,
    /// Threads that compute, 1..=256. `None` for as many as the process may use, within the CPU
    /// limits of its container.
    pub threads: Option<usize>,
    /// What [`crate::Model::digest`] must be, in hex. Other weights are refused.
    pub expected_sha256: Option<String>,
    /// Folder of a LoRA adapter in PEFT's format (`adapter_config.json`,
    /// `adapter_model.safetensors`), which is added to the weights as they are read. The model must
    /// be a folder too: nothing can be added to quantized weights without loss.
    pub adapter: Option<PathBuf>,
    /// Where the model runs.
    pub device: Device,
}

impl LoadOptions {
    /// Threads that compute.
    pub(super) fn threads(&self) -> Result<usize, LoadError> {
        match self.threads {
            Some(threads @ 1..=256) => Ok(threads),
            Some(threads) => Err(LoadError::options(format!("{threads} threads: give 1 to 256"))),
            None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        }
    }
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number, from 0. Needs a build with the feature `cuda`.
    Cuda(usize),
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) if number.parse::<usize>().is_ok() => {
                Ok(Self::Cuda(number.parse().unwrap_or(0)))
            }
            _ => Err(format!("{text} is not a device: give cpu, cuda or cuda:N")),
        }
    }
}

impl Device {
    pub(super) fn placement(self) -> Result<Placement, LoadError> {
        match self {
            Self::Cpu => Ok(Placement::Cpu),
            #[cfg(feature = "cuda")]
            Self::Cuda(number) => {
                candle_core::Device::new_cuda(number).map(Placement::Device).map_err(|error| {
                    LoadError::options(format!(
                        "CUDA device {number} cannot be used: {error}. It needs an NVIDIA driver, \
                         and a container that is given the GPU"
                    ))
                })
            }
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(LoadError::options(
                "this build has no CUDA: use an image that was built with DEVICE=cuda, or device \
                 cpu",
            )),
        }
    }
}

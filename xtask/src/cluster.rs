//! `cargo xtask cluster`: the local cluster on its own.

use crate::progress::Progress;
use anyhow::Result;
use clap::Subcommand;
use personaguard_cluster::{Cache, Cluster, Status};

/// Run a local single-node Kubernetes cluster, in a folder and namespaces of its own.
///
/// It needs root, builds Kubernetes from source on first use (minutes), touches no other cluster or
/// container on the machine, and cannot reach any network.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the cluster, or restart those of its processes that have ended.
    Up(Name),
    /// Stop the cluster and remove every trace of it.
    Down(Name),
    /// Print the state of the cluster.
    Status(Name),
    /// Print the path of the cluster's kubeconfig: `export KUBECONFIG=$(cargo xtask cluster
    /// kubeconfig)`.
    Kubeconfig(Name),
}

/// The cluster to act on.
#[derive(clap::Args)]
pub(crate) struct Name {
    /// Short name of the cluster, 1 to 8 of a-z, 0-9 and -.
    #[arg(long, default_value = "dev")]
    name: String,
}

/// Runs the command.
pub(crate) fn run(command: Command) -> Result<()> {
    let cache = Cache::open()?;
    match command {
        Command::Up(Name { name }) => {
            let progress = Progress::new();
            let cluster = Cluster::up(&cache, &name, &|text| progress.step(text))?;
            progress.done();
            eprintln!("cluster {name} is up after {:.1?}", progress.elapsed());
            println!("export KUBECONFIG={}", cluster.kubeconfig().display());
        }
        Command::Down(Name { name }) => {
            Cluster::down(&cache, &name)?;
            eprintln!("cluster {name} is gone");
        }
        Command::Status(Name { name }) => match Cluster::status(&cache, &name)? {
            Status::Absent => println!("there is no cluster {name}"),
            Status::Leftovers => println!(
                "cluster {name} was left half up or half down: `up` and `down` both clean up"
            ),
            Status::Running { ended } if ended.is_empty() => println!("cluster {name} is running"),
            Status::Running { ended } => {
                println!(
                    "cluster {name} is running without {}: `up` restarts it",
                    ended.join(", ")
                );
            }
        },
        Command::Kubeconfig(Name { name }) => {
            println!("{}", Cluster::open(&cache, &name)?.kubeconfig().display());
        }
    }
    Ok(())
}

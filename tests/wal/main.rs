//! The log against its twin disk: crashes, damage at every byte, full disks, failing disks; and against real files.

#[path = "../seeds/mod.rs"]
pub mod seeds;

mod crash;
mod damage;
mod files;
mod scripts;
mod space;
mod support;

#[path = "../runner/mod.rs"]
mod runner;

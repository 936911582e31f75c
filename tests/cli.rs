//! The program as its users meet it: what it prints, where, and with which exit code it ends.

mod archives;
mod benching;
mod capturing;
mod changing;
mod checking;
mod connecting;
mod damage;
mod data;
mod databases;
mod help;
mod indexes;
mod journal;
mod json;
mod memory;
mod moving;
mod point_in_time;
mod privileges;
mod reading;
mod refusing;
mod replaying;
mod restoring;
mod salvaging;
mod secrets;
mod selecting;
mod sidecars;
mod signals;
mod space;
mod terminal;
mod verifying;
mod whole;

pub(crate) use self::{
    data::fill,
    json::schema,
    terminal::{PASSWORD, snapshot_text},
};

//! The switch of a network: a process of its own that carries frames between guests, and to the way out.
//!
//! Guests do not connect to it. Each interface of a guest is a listening socket of its QEMU (`-netdev
//! stream,server=on`), and the switch connects to all of them. So a switch that is started anew finds its ports again,
//! which QEMU as the client would not; and a port is known by the socket behind it, which no guest can forge.
//! What a port may send is decided by [`plan::Plan::decide`], a pure function: the addresses of all guests are known
//! beforehand, so nothing is learned, and DHCP is answered here from the plan.

pub(crate) mod dhcp;
pub(crate) mod frame;
pub(crate) mod plan;
mod serve;

pub(crate) use plan::{Mac, Plan, Port};
pub(crate) use serve::{CONTROL, PLAN, Report, SUBCOMMAND, run};

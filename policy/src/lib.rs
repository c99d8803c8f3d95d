//! Resource-management rules of the platform, as pure functions: no clock, no database, no network,
//! no hypervisor.  The server decides with them before it books; the agent decides with them before
//! it acts; the tests prove them without either.

pub mod admission;
pub mod change;
pub mod claim;
pub mod converge;
pub mod cores;
pub mod divide;
pub mod instance;
pub mod lifecycle;
pub mod memory;
pub mod merging;
pub mod placement;
pub mod power;
pub mod units;
pub mod validate;
pub mod weights;

//! Removes the links and names that killed runs of a program left, before the program starts again.

use netloom::{Namespace, leftovers, reap};

fn main() -> Result<(), netloom::Error> {
    netloom::sandbox::enter()?;

    // Lists the leftovers first. Objects of living processes are never among them.
    let found = leftovers()?;
    println!("{} objects of dead processes", found.found().len());
    let reaped = reap()?;
    println!("removed {}, failed {}", reaped.removed.len(), reaped.failures.len());

    let red = Namespace::named("red").create()?;
    println!("{red} is here until its owner is dropped");
    Ok(())
}

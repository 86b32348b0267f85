//! Removes the links and names that killed runs of a program left, before the program starts anew.

use netloom::{Namespace, leftovers, reap};

fn main() -> Result<(), netloom::Error> {
    netloom::sandbox::enter()?;

    // Looks first: nothing of a living process is ever among the leftovers.
    let found = leftovers()?;
    println!("{} objects of dead processes", found.found().len());
    let reaped = reap()?;
    println!("removed {}, failed {}", reaped.removed.len(), reaped.failures.len());

    let red = Namespace::named("red").create()?;
    println!("{red} is here until its owner is dropped");
    Ok(())
}

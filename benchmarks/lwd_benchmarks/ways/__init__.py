"""Many ways of doing a task: `lwd study ways`, from demonstrations to what each method makes of them."""

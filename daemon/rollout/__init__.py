"""From shadow to production step by step: the plan, its evidence, its demands. Time is an argument."""

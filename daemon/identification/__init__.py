"""What a slave does when it is switched, told from the grid meter alone. Time and luck are arguments."""

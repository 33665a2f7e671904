"""What a slave does when it is switched, told from the meter alone. Time and randomness are arguments."""

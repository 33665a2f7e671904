"""What is believed of the site: the surplus, how slaves answer, and which of them do."""

"""What the people who live there said: pause, boost, priorities, holiday. Outlives restarts."""

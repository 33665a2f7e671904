"""What the site did, for years: minutes, hours and days in one small database, and money beside energy."""

"""The words of owners: one table for the page, the page of the house, and every sentence about the site."""

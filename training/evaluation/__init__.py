"""The evaluation of a policy bundle: criteria, bound, replay of logs, and the pages that show them."""

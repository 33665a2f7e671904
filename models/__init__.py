"""What the policy needs on the Pi: features, inference, the verified bundle."""

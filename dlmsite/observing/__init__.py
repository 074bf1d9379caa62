"""What is only watched: SeaweedFS clusters of others, their rings and members as their masters tell them."""

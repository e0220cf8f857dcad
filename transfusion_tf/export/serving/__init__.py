"""What servers of exported networks go by, TF Serving first."""

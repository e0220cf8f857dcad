"""CheXpert: chest x-rays with fourteen observations."""

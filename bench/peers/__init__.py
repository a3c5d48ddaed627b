"""The same flows in Mainspring and its peers; what each costs."""

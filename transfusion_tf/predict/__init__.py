"""Pictures without labels -> a table of probabilities and decisions.

networks   a run or an export as a function of encoded pictures, on all devices
pictures   the list of the pictures, on disk
answers    probabilities as columns
parts      the table in the making, which another process can continue
engine     pictures through a network to a table

How raw files are read and prepared is the code in `data/`, which a clone has:
the command hands it in.
"""

"""What this client costs, beside others: ``nox -s bench`` runs every topic and prints tables.

Everything is measured interleaved in one run, round after round, and given as ratios of the
same round: machines are noisy, and what disturbs one disturbs its neighbour too.
"""

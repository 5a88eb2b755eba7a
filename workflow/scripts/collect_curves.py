from synthworth.job import job

with job(snakemake):
    from synthworth.fidelity.selection import save_curves

    save_curves(snakemake.input.scores, snakemake.output.curves)

from synthworth.job import job

with job(snakemake):
    from synthworth.fidelity.selection import write_curves

    write_curves(snakemake.input.scores, snakemake.output.curves)

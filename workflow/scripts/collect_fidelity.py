from synthworth.job import job

with job(snakemake):
    from synthworth.fidelity.selection import write_fidelity

    write_fidelity(
        snakemake.input.curves, snakemake.input.selections, snakemake.input.floors, snakemake.output.fidelity
    )

from synthworth.job import job

with job(snakemake):
    from synthworth.memorization.outputs import collect

    collect(snakemake.input.tables, snakemake.output.collected)

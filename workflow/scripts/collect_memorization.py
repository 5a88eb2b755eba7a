from synthworth.job import job

with job(snakemake):
    from synthworth.memorization.study import collect

    collect(snakemake.input.tables, snakemake.output.collected)

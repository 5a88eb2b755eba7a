from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.scores import write_runs

    write_runs(snakemake.input.predictions, snakemake.output.runs, snakemake.output.cells, **spec)

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.fidelity.selection import save_selection

    save_selection(snakemake.input.scores, snakemake.output.selected, **spec)

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ratings.outputs import write_correlations

    write_correlations(
        rows=snakemake.input.rows,
        fidelity=snakemake.input.fidelity,
        comparisons=snakemake.input.comparisons,
        output=snakemake.output.correlations,
        **spec,
    )

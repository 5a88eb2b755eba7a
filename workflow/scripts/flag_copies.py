from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.memorization.flagging import flag_shard

    flag_shard(
        shard=snakemake.input.shard,
        train={key: snakemake.input[f"train_{key}"] for key in ("images", "index", "features")},
        references=snakemake.input.references,
        weights=Path(snakemake.input.extractor),
        output=snakemake.output.flags,
        **spec,
    )

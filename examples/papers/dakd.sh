#!/bin/sh
# DAKD (Distilling Aggregated Knowledge): from a folder of videos to its table.
#
#   VIDEOS=videos OUT=runs/dakd sh examples/papers/dakd.sh
#
# A teacher of three backbones, and a student that runs on CLIP alone. Each command can be interrupted; run the file
# again to resume. What is written behind its name goes to 'wsvad fit', as in: dakd.sh --config.student rgb
set -eu
: "${VIDEOS:=videos}"                      # the videos, in a folder with labels.csv
: "${DATA:=$VIDEOS}"                       # labels and split; ucf-crime:FOLDER, xd-violence:FOLDER … for official lists
: "${MODELS:=models}"                      # weights, by the names that 'wsvad encoders --recipes' lists
: "${OUT:=runs/dakd}"
: "${DEVICE:=auto}"                        # where networks run: cpu, cuda, cuda:N, mps, or auto
: "${SEEDS:=5}"                            # runs, whose mean and standard deviation the table has
: "${RGB:=recipe:i3d-1024}"                # any encoder will do in place of each of these
: "${S3D:=recipe:s3d}"
: "${CLIP:=recipe:clip-b16}"
export WSVAD_MODELS="$MODELS"

wsvad extract "$VIDEOS" --out "$OUT/features" --device "$DEVICE" \
    --rgb "$RGB" --stream "s3d=$S3D" --stream "clip=$CLIP"

wsvad fit "$DATA" --features "$OUT/features" --method dakd \
    --config.backbones '[rgb, s3d, clip]' --config.student clip \
    --seeds "$SEEDS" --device "$DEVICE" --out "$OUT/run" "$@"

wsvad evaluate "$OUT/run"

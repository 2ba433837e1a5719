#!/bin/sh
# RefineVAD (AAAI 2026): from a folder of videos, whose labels name categories, to its table.
#
#   VIDEOS=videos OUT=runs/refinevad sh examples/papers/refinevad.sh
#
# It reads CLIP's view of each snippet and, beside it, sentences that a vision-language model says of each few seconds.
# Each command can be interrupted; run the file again to resume. What is written behind its name goes to 'wsvad fit'.
set -eu
: "${VIDEOS:=videos}"                      # the videos, in a folder with labels.csv
: "${DATA:=$VIDEOS}"                       # labels and split; ucf-crime:FOLDER, xd-violence:FOLDER … for official lists
: "${MODELS:=models}"                      # weights, by the names that 'wsvad encoders --recipes' lists, and:
: "${OUT:=runs/refinevad}"
: "${DEVICE:=auto}"                        # where networks run: cpu, cuda, cuda:N, mps, or auto
: "${SEEDS:=5}"                            # runs, whose mean and standard deviation the table has
: "${RGB:=recipe:clip-l14}"
: "${CAPTIONER:=$MODELS/captioner}"        # a vision-language model of transformers (BLIP, LLaVA, SmolVLM …), a folder
: "${SENTENCES:=$MODELS/sentences}"        # a sentence encoder, a folder (all-MiniLM-L6-v2, CLIP's text model …)
: "${SEGMENT:=5s}"                         # what a caption is about
export WSVAD_MODELS="$MODELS"

wsvad caption "$VIDEOS" --model "hf:$CAPTIONER" --segment "$SEGMENT" --device "$DEVICE" --out "$OUT/captions.jsonl"

wsvad extract "$VIDEOS" --out "$OUT/features" --device "$DEVICE" \
    --rgb "$RGB" --text "sentence:$SENTENCES:$OUT/captions.jsonl"

wsvad fit "$DATA" --features "$OUT/features" --method refinevad --config.streams rgb,text \
    --seeds "$SEEDS" --device "$DEVICE" --out "$OUT/run" "$@"

wsvad evaluate "$OUT/run"

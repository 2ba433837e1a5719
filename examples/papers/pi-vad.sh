#!/bin/sh
# π-VAD (Majhi et al., CVPR 2025): from a folder of videos to its table.
#
#   VIDEOS=videos OUT=runs/pi-vad sh examples/papers/pi-vad.sh
#
# It learns from RGB and five modalities, or six with sound, and runs on RGB alone. Each command can be interrupted; run
# the file again to resume. What is written behind its name goes to 'wsvad fit', as in: pi-vad.sh --budget data
set -eu
: "${VIDEOS:=videos}"                      # the videos, in a folder with labels.csv
: "${DATA:=$VIDEOS}"                       # labels and split; ucf-crime:FOLDER, xd-violence:FOLDER … for official lists
: "${MODELS:=models}"                      # weights, by the names that 'wsvad encoders --recipes' lists
: "${OUT:=runs/pi-vad}"
: "${DEVICE:=auto}"                        # where networks run: cpu, cuda, cuda:N, mps, or auto
: "${SEEDS:=5}"                            # runs, whose mean and standard deviation the table has
: "${RGB:=recipe:i3d-1024}"                # any encoder will do in place of each of these
: "${POSE:=recipe:pi-vad-pose}"
: "${DEPTH:=recipe:pi-vad-depth}"
: "${MASK:=recipe:pi-vad-mask}"
: "${FLOW:=recipe:pi-vad-flow}"
: "${TEXT:=recipe:pi-vad-text}"
: "${AUDIO:=}"                             # on XD-Violence: recipe:pi-vad-audio
export WSVAD_MODELS="$MODELS"

wsvad extract "$VIDEOS" --out "$OUT/features" --device "$DEVICE" \
    --rgb "$RGB" --pose "$POSE" --depth "$DEPTH" --mask "$MASK" --flow "$FLOW" --text "$TEXT" \
    ${AUDIO:+--stream "audio=$AUDIO"}

wsvad fit "$DATA" --features "$OUT/features" --method pi-vad --modalities "pose,depth,mask,flow,text${AUDIO:+,audio}" \
    --seeds "$SEEDS" --device "$DEVICE" --out "$OUT/run" "$@"

wsvad evaluate "$OUT/run"

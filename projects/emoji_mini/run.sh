#!/bin/sh
# emoji-mini from its assets to the weights that ship, in one go: about fourteen hours on two CPU cores.
#
#   sh projects/emoji_mini/run.sh                # all of it, into runs/
#   PARTS= sh projects/emoji_mini/run.sh         # on the frozen parts that stand trained in the project
#   SCALE=0.002 STEPS=2 sh projects/emoji_mini/run.sh   # a trial of every step
#
# Killed or stopped, it goes on where it was: finished steps leave a mark in runs/done, the others resume.
# The world's pack is in the repository; `anyweave data world` makes it again from public packages. The
# autoencoder of pictures sees more emoji than the world has: npm fetches them.
set -eu
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
SCALE=${SCALE:-1}   # share of the steps of every part
STEPS=${STEPS:-}    # of every stage; empty: the recipe's
# The frozen parts, and the judges: what draws, films and plays, what sees and hears.
PARTS=${PARTS-picture-autoencoder picture-encoder audio-encoder picture-denoiser clip-denoiser
  sound-autoencoder sound-denoiser sound-verifier motion-judge}
mkdir -p runs/done

step() { # step NAME COMMAND...
    name=$1; shift
    [ -e "runs/done/$name" ] && return
    echo "== $name"
    began=$(date +%s)
    "$@"
    echo "$(($(date +%s) - began)) s" > "runs/done/$name"
}

part() { # part NAME
    anyweave train part "$1" --out runs/parts --scale "$SCALE"
}

stage() { # stage NUMBER [LESSON]
    lesson=emoji-mini-${2:-$1}
    again=; [ -d "runs/$lesson/checkpoints" ] && again=--resume
    # shellcheck disable=SC2086  # empty is meant to be nothing
    anyweave train "stage$1" --recipe "$lesson" $again ${STEPS:+--set steps=$STEPS}
}

for part in $PARTS; do
    step "$part" part "$part"
done
# Put together, with a first lesson for the input projector.
step together part emoji-mini
# The three stages of the paper, the last in eight lessons; one more for the input projector, and two
# for the output projectors, whose states change in between.
step stage1 stage 1
step stage2 stage 2
step stage3 stage 3
step known stage 3 known
step signals stage 3 signals
step output-projectors part output-projectors
step all-talk stage 3 together
step asked stage 3 asked
step input-projector part input-projector
step reading stage 3 reading
step recall stage 3 recall
step recall-more stage 3 recall-more
step recall-again stage 3 recall-again
step output-projectors-last part output-projectors-last
# What ships, measured as in docs/results.md.
step world anyweave eval world --model runs/parts/emoji-mini-taught --out runs/world
grep . runs/done/*

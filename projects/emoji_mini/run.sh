#!/bin/sh
# emoji-mini from its assets to the weights that ship, in one go: about eight hours on two CPU cores.
#
#   sh projects/emoji_mini/run.sh              # all of it, into runs/
#   SCALE=0.002 STEPS=2 CHATS=40 sh projects/emoji_mini/run.sh   # a trial of every step, in minutes
#
# Killed or stopped, it goes on where it was: finished steps leave a mark in runs/done, the others resume.
# The assets are in the repository; `anyweave data world` makes them again from public packages.
set -eu
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
SCALE=${SCALE:-1}   # share of the steps of every part
STEPS=${STEPS:-}    # of every stage; empty: the recipe's
CHATS=${CHATS:-15000}
MOSIT=$((CHATS * 2 / 5))
mkdir -p runs/done

step() { # step NAME COMMAND...
    name=$1; shift
    [ -e "runs/done/$name" ] && return
    echo "== $name"
    began=$(date +%s)
    "$@"
    echo "$(($(date +%s) - began)) s" > "runs/done/$name"
}

stage() { # stage NUMBER RECIPE
    again=; [ -d "runs/$2/checkpoints" ] && again=--resume
    # shellcheck disable=SC2086  # empty is meant to be nothing
    anyweave train "stage$1" --recipe "$2" $again ${STEPS:+--set steps=$STEPS}
}

# The frozen parts: what sees and hears, what draws, films and plays.
for part in image-encoder audio-encoder image video audio; do
    step "$part" anyweave train part "$part" --out runs/parts --scale "$SCALE"
done
# Put together, with a first lesson for the input projector.
step together anyweave train part emoji-mini --out runs/parts --scale "$SCALE"
# The three stages of the paper, then dialogues as people write them.
step stage1 stage 1 emoji-mini-1
step stage2 stage 2 emoji-mini-2
step stage3 stage 3 emoji-mini-3
step data anyweave data emoji runs/emoji --mosit "$MOSIT" --chats "$CHATS"
step mosit stage 3 emoji-mini-mosit
step output-projectors anyweave train part output-projectors --out runs/parts --scale "$SCALE"
# What ships, measured as in docs/results.md.
step world anyweave eval world --model runs/parts/emoji-mini-taught --trials 24 --out runs/world
grep . runs/done/*

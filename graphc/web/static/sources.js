// Where pictures come from: a file (chosen, dropped or pasted), a sheet to draw on, the camera. Each gives a canvas.
"use strict";
const Sources = (() => {
  const $ = id => document.getElementById(id);

  function canvasOf(source, width, height) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d", {willReadFrequently: true}).drawImage(source, 0, 0, width, height);
    return canvas;
  }

  // A picture in a file, upright, its colors as they are stored.
  async function fromFile(file, mostPixels) {
    const bitmap = await createImageBitmap(file, {imageOrientation: "from-image", colorSpaceConversion: "none"});
    const {width, height} = bitmap;
    if (width * height > mostPixels) throw new Error(`it has ${width}×${height} pixels, the limit is ${mostPixels}`);
    return canvasOf(bitmap, width, height);
  }

  // Files that are dropped anywhere on the page, to `take`.
  function dropped(take) {
    for (const kind of ["dragover", "dragleave", "drop"]) {
      document.addEventListener(kind, event => {
        event.preventDefault();
        $("drop").classList.toggle("over", kind === "dragover");
        if (kind === "drop") take([...event.dataTransfer.files]);
      });
    }
  }

  function files(mostPixels, give, fail) {
    const take = async file => {
      try {
        give(await fromFile(file, mostPixels), file.name);
      } catch (error) {
        fail(`${file.name} is no picture that this browser reads: ${error.message}`);
      }
    };
    $("file").addEventListener("change", event => event.target.files[0] && take(event.target.files[0]));
    dropped(([file]) => file && take(file));
    document.addEventListener("paste", event => event.clipboardData.files[0] && take(event.clipboardData.files[0]));
  }

  function drawing(give) {
    const sheet = $("sheet");
    const context = sheet.getContext("2d", {willReadFrequently: true});
    const colors = () => ($("ink").value === "light" ? ["#000", "#fff"] : ["#fff", "#000"]);
    let pen = {x: sheet.width / 2, y: sheet.height / 2, down: false};
    let kept = null; // the sheet without the mark that shows where the pen is

    const restore = () => {
      if (kept !== null) context.putImageData(kept, 0, 0);
      kept = null;
    };
    const clear = () => {
      kept = null;
      context.fillStyle = colors()[0];
      context.fillRect(0, 0, sheet.width, sheet.height);
    };
    const stroke = (x, y) => {
      restore();
      context.strokeStyle = colors()[1];
      context.lineWidth = $("pen").valueAsNumber;
      context.lineCap = "round";
      context.beginPath();
      context.moveTo(pen.x, pen.y);
      context.lineTo(x, y + 0.01);
      context.stroke();
    };
    const mark = () => {
      kept = context.getImageData(0, 0, sheet.width, sheet.height);
      context.strokeStyle = pen.down ? "#e11d48" : "#3b82f6";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(pen.x, pen.y, 7, 0, 7);
      context.stroke();
    };
    const done = () => {
      restore();
      give(canvasOf(sheet, sheet.width, sheet.height), "the drawing");
    };
    const at = event => {
      const box = sheet.getBoundingClientRect();
      return {x: ((event.clientX - box.x) / box.width) * sheet.width, y: ((event.clientY - box.y) / box.height) * sheet.height};
    };

    sheet.addEventListener("pointerdown", event => {
      sheet.setPointerCapture(event.pointerId);
      pen = {...at(event), down: true};
      stroke(pen.x, pen.y);
    });
    sheet.addEventListener("pointermove", event => {
      if (!pen.down || !sheet.hasPointerCapture(event.pointerId)) return;
      const place = at(event);
      stroke(place.x, place.y);
      pen = {...place, down: true};
    });
    sheet.addEventListener("pointerup", () => {
      pen.down = false;
      done();
    });
    const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    sheet.addEventListener("keydown", event => {
      const step = STEPS[event.key];
      if (!step && ![" ", "Delete", "Backspace"].includes(event.key)) return;
      event.preventDefault();
      restore();
      if (step) {
        const far = event.shiftKey ? 2 : 10;
        const x = Math.min(Math.max(pen.x + step[0] * far, 0), sheet.width);
        const y = Math.min(Math.max(pen.y + step[1] * far, 0), sheet.height);
        if (pen.down) stroke(x, y);
        pen = {...pen, x, y};
      } else if (event.key === " ") {
        pen.down = !pen.down;
        if (pen.down) stroke(pen.x, pen.y);
      } else {
        clear();
      }
      if (event.key === " " && !pen.down) done();
      mark();
    });
    sheet.addEventListener("focus", () => sheet.matches(":focus-visible") && mark());
    sheet.addEventListener("blur", restore);
    $("clear").addEventListener("click", clear);
    $("ink").addEventListener("change", clear);
    clear();
  }

  function camera(give) {
    const [video, start, shoot, said] = [$("camera"), $("start"), $("shoot"), $("camera-said")];
    let stream = null;
    const take = () => give(canvasOf(video, video.videoWidth, video.videoHeight), "the camera's picture");
    const stop = () => {
      stream?.getTracks().forEach(track => track.stop());
      stream = video.srcObject = null;
      shoot.disabled = true;
      start.textContent = "Start the camera";
    };
    start.addEventListener("click", async () => {
      if (stream !== null) return stop();
      if (!navigator.mediaDevices) {
        said.textContent = "This browser gives the camera only to pages from https or from this machine.";
        return undefined;
      }
      try {
        stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
        video.srcObject = stream;
        await video.play();
      } catch (error) {
        stop();
        said.textContent = `There is no camera, or it is not allowed: ${error.message}`;
        return undefined;
      }
      said.textContent = "";
      shoot.disabled = false;
      start.textContent = "Stop the camera";
      return again();
    });
    shoot.addEventListener("click", take);
    const again = async () => {
      while (stream !== null) {
        if ($("live").checked && !$("panel-camera").hidden) await take();
        await new Promise(next => setTimeout(next, 50));
      }
    };
    return {stop};
  }

  return {fromFile, dropped, files, drawing, camera};
})();

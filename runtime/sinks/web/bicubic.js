// MATLAB's bicubic (Keys, a = -0.5) on the graphics processor: rows, rounded to a byte, then columns, as imresize does.
// A canvas' own smoothing is no bicubic.

const CORNERS = `#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3. : -1., gl_VertexID == 2 ? 3. : -1., 0., 1.);
}`;

const KEYS = `#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2D low;
uniform vec2 size;
out vec4 colour;

float keys(float x) {
  x = abs(x);
  return x <= 1. ? (1.5 * x - 2.5) * x * x + 1. : x < 2. ? ((-.5 * x + 2.5) * x - 4.) * x + 2. : 0.;
}

int mirrored(int i, int n) {
  i = i < 0 ? -1 - i : i;
  return clamp(i < n ? i : 2 * n - 1 - i, 0, n - 1);
}

vec3 byte(vec3 value) {
  return floor(clamp(value, 0., 1.) * 255. + .5) / 255.;
}

void main() {
  ivec2 n = textureSize(low, 0);
  vec2 at = vec2(gl_FragCoord.x, size.y - gl_FragCoord.y) * vec2(n) / size - .5;
  ivec2 first = ivec2(floor(at)) - 1;
  vec3 sum = vec3(0.);
  for (int x = 0; x < 4; x++) {
    vec3 column = vec3(0.);
    for (int y = 0; y < 4; y++) {
      ivec2 place = first + ivec2(x, y);
      column += keys(at.y - float(place.y)) * texelFetch(low, ivec2(mirrored(place.x, n.x), mirrored(place.y, n.y)), 0).rgb;
    }
    sum += keys(at.x - float(first.x + x)) * byte(column);
  }
  colour = vec4(byte(sum), 1.);
}`;

export class Bicubic {
  // Throws where the browser has no WebGL 2.
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("This browser has no WebGL 2, so bicubic cannot be drawn beside the result.");
    this.prepare();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => this.prepare());
  }

  prepare() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, CORNERS], [gl.FRAGMENT_SHADER, KEYS]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(`Bicubic cannot be drawn: ${gl.getProgramInfoLog(program)}`);
    }
    gl.useProgram(program);
    this.size = gl.getUniformLocation(program, "size");
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const [name, value] of [
      [gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
    ]) gl.texParameteri(gl.TEXTURE_2D, name, value);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  }

  // low: an ImageBitmap; the canvas already has the size of the result.
  draw(low) {
    const gl = this.gl;
    const { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, low);
    gl.uniform2f(this.size, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}
